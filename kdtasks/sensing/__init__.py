"""What tasks over windows of sensor frames share: data sources, baselines, ownership."""

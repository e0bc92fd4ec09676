"""Tasks of two networks on the site twin of CSI feedback: positioning, channel estimation."""

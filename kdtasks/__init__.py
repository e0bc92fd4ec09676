"""What is learnt: scenarios, models, distillation methods and the tasks made of them."""

import os

# ONNX Runtime reads this when it is imported. Else it writes a device id and calls its collector.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

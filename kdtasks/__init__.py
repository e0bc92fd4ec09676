"""What is learnt: scenarios, models, distillation methods and the tasks made of them."""

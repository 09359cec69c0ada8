"""Other programs that call the models: each file is a thin adapter to one of them."""

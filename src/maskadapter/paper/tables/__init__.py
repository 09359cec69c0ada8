"""The paper's tables: what each row is made with, what was published, and running them."""

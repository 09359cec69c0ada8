"""The paper's tables, each as one command."""

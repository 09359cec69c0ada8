"""How long everything takes, how much memory it needs, and whether the fast way says the same as the direct one."""

"""Time, memory and agreement of the exact and the pruned computation, measured against the paper's formula."""

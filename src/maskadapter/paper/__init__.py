"""All that belongs to the paper and not to the method: published figures, tables, figures."""

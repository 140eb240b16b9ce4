"""Maps of classes: what speaks for one."""

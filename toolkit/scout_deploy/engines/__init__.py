"""Engine adapters: everything that the toolkit knows of one engine, behind one small interface."""

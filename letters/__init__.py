"""Records that were put aside, dead letters and expired jobs: listed, shown, sent once more."""

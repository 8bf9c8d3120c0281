"""What CAs allow within a time, how it is counted, and when orders could go under it: pure, for whoever asks."""

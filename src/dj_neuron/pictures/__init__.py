"""What all pictures share, whatever draws them: colours, words, columns of delays, marks. Knows no drawing library."""

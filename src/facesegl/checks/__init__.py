"""What is to be known of labelled photos before anything learns from them: facts, findings, and what to do."""

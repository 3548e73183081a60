"""Is it the model that was tokenized? Answers of an endpoint against those of one's own copy."""

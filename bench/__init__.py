"""What the project claims about cost, each claim beside the script that prints it."""

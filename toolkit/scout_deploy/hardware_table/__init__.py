"""The READMEs' table of what the shipped profiles need, written by the planner."""

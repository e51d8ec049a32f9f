"""What is sent: which requests, in which order, with which texts. Pure: a seed and a number give a request."""

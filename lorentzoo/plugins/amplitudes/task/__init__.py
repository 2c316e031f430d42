"""What is a surrogate of an amplitude worth to an event generator?"""

"""Training: labelled crops in, a checkpoint for the zoo out.

Everything that happens to a sample happens on the training device, a batch at a time: crops lie there as
uint8, one affine a sample flips, rotates, scales and shifts it, and the same affine moves its joints. All
randomness of a step is drawn from the seed, the step's number and the process's rank, so that a run goes on
after an interruption as if there had been none.
"""

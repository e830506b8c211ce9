"""Where problems come in and answers go out: doors translate and hold no algorithm."""

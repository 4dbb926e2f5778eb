"""Where cells run: this machine, Ray or Slurm."""

"""Runs once on each node, in the directory that all jobs of the batch start from."""
import subprocess

subprocess.run(["gfortran", "-O2", "-o", "trajectory", "input/trajectory.f90"], check=True)
print("compiled trajectory")

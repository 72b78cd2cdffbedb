"""One job: reads what input/ holds, saves to distribute_save/. The argument is the number of cores it may use."""
import json
import pathlib
import subprocess
import sys

planet = json.loads(pathlib.Path("input/planet.json").read_text())
shot = json.loads(pathlib.Path("input/shot.json").read_text())
numbers = f"{planet['gravity']} {planet['drag']} {shot['speed']} {shot['angle']}\n"
flight = subprocess.run(["./trajectory"], input=numbers, capture_output=True, text=True, check=True).stdout

save = pathlib.Path("distribute_save")
(save / "flight.csv").write_text(flight)
(save / "plots").mkdir()
time, distance, _ = flight.strip().splitlines()[-1].split(",")
(save / "result.json").write_text(json.dumps({"seconds": float(time), "metres": float(distance)}) + "\n")
print(f"{int(sys.argv[1])} core(s): {shot['angle']} degrees fly {float(distance):.1f} m")

# The horizontal velocity along the vertical line through the middle, as CSV: height over the floor, velocity. Also
# writes the smallest of them to result.json. The mesh is square and its cells are numbered row by row.
set -euo pipefail
awk -v result="$LABRUN_ARCHIVE/result.json" -F '[ ()]+' '
  /^internalField/ { reading = 1 }
  /^boundaryField/ { reading = 0 }
  reading && /^\(.* .* .*\)$/ { velocity[count++] = $2 }
  END {
    cells = int(sqrt(count) + 0.5)
    print "y,u"
    for (row = 0; row < cells; row++) {
      u = velocity[row * cells + int(cells / 2)]
      print (row + 0.5) / cells * 0.1 "," u
      if (row == 0 || u < least) { least = u; height = (row + 0.5) / cells * 0.1 }
    }
    printf "{\"leastVelocity\": %g, \"atHeight\": %g, \"cells\": %d}\n", least, height, count > result
  }' "$1/0.5/U"

/** What `labrun template` can print. */
export type SampleKind = 'command' | 'python' | 'apptainer';

export const sampleKinds: readonly SampleKind[] = ['command', 'python', 'apptainer'];

/** A job file to start from. */
export interface Sample {
  /** What to save it as. */
  readonly fileName: string;
  readonly text: string;
  /** Files it names, which must be there before it can be submitted; folders end with `/`. */
  readonly files: readonly string[];
}

/** A commented job file that is right as it stands once its files are there. */
export function sampleJobFile(kind: SampleKind): Sample {
  return samples[kind];
}

const command = `# A batch for labrun. Check it with: labrun validate labrun.yaml    Submit it with: labrun submit labrun.yaml
name: sweep
# namespace: cfd                        # default: your user name
# env: {OMP_PROC_BIND: "true"}          # for the build and every job
# maxRunning: 10                        # most jobs of this batch at once; default: no limit
# maxFailures: 5                        # hold the rest when so many have failed; none: never; default: docs/formats.md

build:                                  # optional; runs once on each node, before its first job
  run: make -C solver
  files: [solver/]                      # folders with all that is in them
  # needs: {capabilities: [gfortran], cpus: 1}      # default: what every job needs, on a whole node
  # timeLimit: 1h

jobs:                                   # each entry is one job or, with a matrix, a template of jobs
  - name: run                           # names of its jobs: run-nu-1e-5_mesh-coarse, unless it holds {{axis}}
    matrix:                             # every combination; values are kept as written (0.10 stays 0.10)
      nu: [1e-5, 0.10]
      mesh: [coarse, fine]
      exclude: [{nu: 0.10, mesh: fine}]
      # include: [{nu: 1e-6, mesh: fine}]             # whole rows besides
      # or instead of axes: rows: [{nu: 1e-5, mesh: coarse}]   or: from: params.csv (its header names the axes)
    needs: {cpus: 1}                    # default: a whole node. Also capabilities: [openfoam>=1912], ranks, threads,
                                        # memory: 8G, disk: 20G, gpus; or just a list: needs: [gfortran]
    files: [case.txt, {path: "meshes/{{mesh}}.msh", as: mesh.msh}]
    templates: [case.txt]               # in the text of these files, too, {{axis}} becomes the job's value
    run: |                              # bash; {{axis}} becomes one quoted word. Also: [./program, "{{nu}}"]
      ./solver/solve case.txt mesh.msh --nu {{nu}} --threads $LABRUN_CPUS | tee solver.log
    archive: [results/, "*.log"]        # kept, besides all that is put into $LABRUN_ARCHIVE
    expect: [results/forces.csv]        # missing or empty: the job has failed
    timeLimit: 2h                       # default: none
    retries: 1                          # default: 0
    # env: {FOAM_SIGFPE: "1"}
`;

const python = `# A Python batch, in the format of distribute. Submit it with: labrun submit distribute-jobs.yaml
meta:
  batch_name: sweep
  namespace: cfd
  capabilities: [python3]               # what a node must have; a job gets a whole node
  # matrix: "@you:matrix.org"           # told when the batch has ended
python:
  initialize:
    build_file:                         # runs once on each node, as: python3 build.py; what it leaves, every job finds
      path: build.py
    required_files:                     # every job finds them in input/
      - path: constants.json
  jobs:
    - name: coarse
      file: run.py                      # runs as: python3 run.py N (N cores); what it puts into distribute_save/ is kept
      required_files:
        - path: meshes/coarse.msh
          alias: mesh.msh               # arrives as input/mesh.msh
    - name: fine
      file: run.py
      required_files:
        - path: meshes/fine.msh
          alias: mesh.msh
`;

const apptainer = `# A batch that runs an Apptainer image, in the format of distribute. Submit it with: labrun submit distribute-jobs.yaml
meta:
  batch_name: sweep
  namespace: cfd
  capabilities: [apptainer]             # what a node must have; a job gets a whole node
  # matrix: "@you:matrix.org"           # told when the batch has ended
apptainer:
  initialize:
    sif:                                # runs as: apptainer run --app distribute … N (N cores)
      path: solver.sif
    required_files:                     # every job finds them in /input
      - path: constants.json
    required_mounts:                    # folders inside the container that must be writable
      - /work
  jobs:
    - name: coarse                      # what it puts into /distribute_save is kept
      required_files:
        - path: meshes/coarse.msh
          alias: mesh.msh               # arrives as /input/mesh.msh
    - name: fine
      required_files:
        - path: meshes/fine.msh
          alias: mesh.msh
`;

const meshes = ['meshes/coarse.msh', 'meshes/fine.msh'];

const samples: Readonly<Record<SampleKind, Sample>> = {
  command: { fileName: 'labrun.yaml', text: command, files: ['solver/', 'case.txt', ...meshes] },
  python: {
    fileName: 'distribute-jobs.yaml',
    text: python,
    files: ['build.py', 'run.py', 'constants.json', ...meshes],
  },
  apptainer: { fileName: 'distribute-jobs.yaml', text: apptainer, files: ['solver.sif', 'constants.json', ...meshes] },
};

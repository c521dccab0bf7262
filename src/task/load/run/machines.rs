//! Programs that run, build or set up containers, clusters and machines by files, images and settings.
//!
//! What such a file or image holds runs: a manifest for `kubectl apply` is as much code as the argument of `docker run`.
//!
//! Longer than 400 lines because each program is a row of one table.

use super::interpreters::{Interpreter, NONE, Operands};
use super::wrappers::OF_IMAGE;

/// One that reads options behind its operands, too, and takes these for data.
const TOOL: Interpreter = Interpreter { permutes: true, ..NONE };
/// The first operand is code: an image, a folder of definitions, a package.
const FIRST: Interpreter = Interpreter { operands: Operands::Code, ..TOOL };
/// All operands are.
const EACH: Interpreter = Interpreter { operands: Operands::AllCode(0), ..TOOL };

/// How images are built. The folder is sent whole, with the file that says how.
const BUILD: Interpreter = Interpreter {
    names: &["build", "bud", "b"],
    loads: "f",
    loads_long: &["--file", "--build-context", "--runtime", "--hooks-dir"],
    value: "tmco",
    value_long: &[
        "--tag",
        "--build-arg",
        "--label",
        "--target",
        "--platform",
        "--progress",
        "--network",
        "--secret",
        "--ssh",
        "--cache-from",
        "--cache-to",
        "--output",
        "--memory",
        "--iidfile",
        "--metadata-file",
        "--add-host",
        "--shm-size",
        "--ulimit",
        "--builder",
        "--format",
        "--arch",
        "--os",
    ],
    ..EACH
};
const PULL: Interpreter = Interpreter {
    names: &["pull", "from", "import", "install"],
    loads: "c",
    loads_long: &["--change"],
    value: "m",
    value_long: &["--platform", "--message", "--name", "--arch", "--os", "--creds", "--authfile"],
    ..EACH
};
const LOAD: Interpreter = Interpreter { names: &["load"], loads: "i", loads_long: &["--input"], ..TOOL };
const CREATE: Interpreter = Interpreter { names: &["create"], ..OF_IMAGE };
const COMMIT: Interpreter =
    Interpreter { names: &["commit"], loads: "c", loads_long: &["--change"], value: "ma", ..TOOL };
/// What a file for compose names runs.
const COMPOSE: Interpreter = Interpreter {
    names: &["compose", "docker-compose", "podman-compose"],
    loads: "f",
    loads_long: &["--file", "--project-directory", "--env-file"],
    value: "pt",
    value_long: &["--project-name", "--profile", "--parallel", "--ansi", "--progress", "--scale", "--timeout"],
    ..TOOL
};
const STACK: Interpreter = Interpreter {
    names: &["deploy", "up"],
    loads: "c",
    loads_long: &["--compose-file"],
    value_long: &["--orchestrator", "--resolve-image"],
    ..TOOL
};
const SERVICE: Interpreter = Interpreter {
    names: &["update"],
    loads_long: &["--image", "--args", "--entrypoint"],
    value_long: &["--replicas", "--limit-cpu", "--limit-memory", "--label-add"],
    ..TOOL
};

/// Manifests, patches and images: what they hold runs in the cluster.
const MANIFEST: Interpreter = Interpreter {
    loads: "fk",
    loads_long: &["--filename", "--kustomize", "--image", "--overrides", "--patch", "--patch-file", "--kubeconfig"],
    value: "nlocs",
    value_long: &["--namespace", "--context", "--selector", "--output", "--field-manager", "--dry-run", "--type"],
    ..TOOL
};

/// How the programs with the commands `exec` and `run` take everything else.
const OF_CONTAINERS: &[Interpreter] = &[
    Interpreter {
        names: &["docker", "podman", "nerdctl", "buildah", "ctr"],
        // A folder of settings names helpers, which run.
        loads_long: &["--config", "--runtime", "--conmon", "--hooks-dir", "--module"],
        value: "Hcln",
        value_long: &[
            "--host",
            "--context",
            "--log-level",
            "--url",
            "--connection",
            "--namespace",
            "--address",
            "--root",
        ],
        commands: &[
            BUILD,
            PULL,
            LOAD,
            CREATE,
            COMMIT,
            COMPOSE,
            Interpreter { names: &["buildx", "builder"], commands: &[BUILD, BAKE], ..TOOL },
            Interpreter { names: &["image", "images"], commands: &[BUILD, PULL, LOAD], ..TOOL },
            Interpreter { names: &["container"], commands: &[CREATE, COMMIT], ..TOOL },
            Interpreter { names: &["stack"], commands: &[STACK], ..TOOL },
            Interpreter { names: &["service"], commands: &[CREATE, SERVICE], ..TOOL },
            Interpreter { names: &["plugin"], commands: &[PULL], ..TOOL },
            Interpreter { names: &["kube"], commands: &[PLAY], ..TOOL },
            Interpreter { names: &["play"], commands: &[Interpreter { names: &["kube"], ..EACH }], ..TOOL },
        ],
        ..TOOL
    },
    COMPOSE,
    Interpreter {
        names: &["kubectl", "oc", "crictl", "k3s"],
        // A file of clusters names programs that log in.
        loads_long: &["--kubeconfig", "--config"],
        value: "nslc",
        value_long: &[
            "--namespace",
            "--context",
            "--cluster",
            "--server",
            "--user",
            "--token",
            "--as",
            "--request-timeout",
            "--selector",
            "--output",
        ],
        commands: &[
            // `k3s kubectl`.
            Interpreter { names: &["kubectl"], commands: &[MANIFESTS, SET, CREDENTIALS], ..TOOL },
            MANIFESTS,
            SET,
            CREDENTIALS,
            Interpreter { names: &["pull", "runp", "new-app", "new-build", "process"], loads: "f", ..EACH },
        ],
        ..TOOL
    },
    Interpreter {
        names: &["lxc", "incus"],
        value_long: &["--project"],
        commands: &[
            Interpreter {
                names: &["launch", "init", "import", "create"],
                loads: "c",
                loads_long: &["--config"],
                value: "pstn",
                ..FIRST
            },
            // `raw.lxc` holds hooks.
            Interpreter {
                names: &["config", "profile"],
                commands: &[Interpreter { names: &["set"], ..Interpreter { operands: Operands::AllCode(1), ..TOOL } }],
                ..TOOL
            },
        ],
        ..TOOL
    },
    Interpreter {
        names: &["apptainer", "singularity"],
        value: "cB",
        commands: &[
            Interpreter { names: &["build", "pull"], value: "BF", ..EACH },
            Interpreter { names: &["shell", "test"], loads_long: &["--env", "--env-file"], value: "BH", ..FIRST },
            Interpreter { names: &["instance"], commands: &[Interpreter { names: &["start"], ..FIRST }], ..TOOL },
        ],
        ..TOOL
    },
    Interpreter {
        names: &["nomad"],
        value_long: &["-address", "-namespace", "-region", "-token"],
        commands: &[
            Interpreter { names: &["job"], commands: &[Interpreter { names: &["plan", "dispatch"], ..FIRST }], ..TOOL },
            Interpreter { names: &["plan"], ..FIRST },
        ],
        ..TOOL
    },
];
const BAKE: Interpreter =
    Interpreter { names: &["bake"], loads: "f", loads_long: &["--file", "--set"], value_long: &["--progress"], ..TOOL };
const PLAY: Interpreter = Interpreter { names: &["play", "apply"], loads_long: &["--configmap"], ..EACH };
const MANIFESTS: Interpreter = Interpreter {
    names: &["apply", "create", "replace", "patch", "debug", "rollout", "expose", "autoscale"],
    // The command of `patch`.
    loads: "fkp",
    ..MANIFEST
};
const SET: Interpreter = Interpreter {
    names: &["set"],
    commands: &[Interpreter { names: &["image"], operands: Operands::AllCode(1), ..MANIFEST }],
    ..MANIFEST
};
const CREDENTIALS: Interpreter = Interpreter {
    names: &["config"],
    loads_long: &["--kubeconfig", "--exec-command", "--exec-arg", "--exec-env", "--auth-provider-arg"],
    ..TOOL
};

/// How this program takes what is neither `exec` nor `run`.
pub(super) fn of_container(program: &str) -> Option<&'static Interpreter> {
    OF_CONTAINERS.iter().find(|known| known.names.contains(&program))
}

/// The same of the command `compose` of such a program.
pub(super) const OF_COMPOSE: Interpreter = COMPOSE;

const HELM_VALUES: &[&str] = &[
    "--version",
    "--namespace",
    "--timeout",
    "--description",
    "--kube-context",
    "--output",
    "--set-literal",
    "--username",
    "--password",
    "--history-max",
];

/// Terraform and its relatives write options with one dash.
const TERRAFORM_VALUES: &[&str] = &[
    "-var",
    "-var-file",
    "-target",
    "-replace",
    "-state",
    "-state-out",
    "-out",
    "-lock-timeout",
    "-parallelism",
    "-backup",
];

pub(super) const ALL: &[Interpreter] = &[
    Interpreter {
        names: &["helm"],
        loads_long: &["--post-renderer", "--kubeconfig", "--repository-config", "--registry-config"],
        value: "n",
        value_long: &["--namespace", "--kube-context"],
        commands: &[
            Interpreter {
                // A comma in a value begins another setting: `image.tag=1,image.repository=NAME`.
                names: &["install", "upgrade", "template"],
                loads: "f",
                loads_long: &[
                    "--values",
                    "--set",
                    "--set-string",
                    "--set-json",
                    "--post-renderer",
                    "--post-renderer-args",
                    "--kubeconfig",
                    "--repo",
                ],
                value: "no",
                value_long: HELM_VALUES,
                operands: Operands::AllCode(1),
                ..TOOL
            },
            Interpreter {
                names: &["pull", "fetch", "lint", "package", "show", "dependency"],
                value: "nd",
                value_long: HELM_VALUES,
                ..EACH
            },
            Interpreter { names: &["plugin"], commands: &[Interpreter { names: &["install"], ..EACH }], ..TOOL },
        ],
        ..TOOL
    },
    Interpreter { names: &["helmfile", "skaffold", "tilt"], loads: "f", loads_long: &["--file", "--filename"], ..TOOL },
    Interpreter {
        names: &["kustomize"],
        commands: &[
            Interpreter { names: &["build", "run"], value: "o", ..EACH },
            Interpreter { names: &["edit"], ..EACH },
        ],
        ..TOOL
    },
    Interpreter {
        names: &["terraform", "tofu", "terragrunt"],
        code_long: &["-chdir", "--terragrunt-config", "--terragrunt-working-dir"],
        commands: &[
            // A plan is run as it stands.
            Interpreter { names: &["apply"], value_long: TERRAFORM_VALUES, ..EACH },
            Interpreter {
                names: &["init", "get", "providers"],
                code_long: &["-plugin-dir", "-from-module", "-backend-config"],
                ..EACH
            },
            Interpreter { names: &["plan", "destroy", "refresh", "import"], value_long: TERRAFORM_VALUES, ..TOOL },
        ],
        ..TOOL
    },
    Interpreter { names: &["packer"], value_long: &["-var", "-var-file", "-only", "-except"], ..EACH },
    Interpreter {
        names: &["pulumi"],
        loads: "C",
        loads_long: &["--cwd", "--policy-pack"],
        value: "s",
        value_long: &["--stack"],
        commands: &[Interpreter { names: &["new", "plugin"], ..EACH }],
        ..TOOL
    },
    Interpreter {
        names: &["vagrant"],
        commands: &[
            Interpreter { names: &["ssh", "winrm"], code: "c", code_long: &["--command"], ..TOOL },
            Interpreter { names: &["box", "plugin"], ..EACH },
        ],
        ..TOOL
    },
    Interpreter {
        names: &["ansible-galaxy"],
        loads: "r",
        loads_long: &["--role-file", "--requirements-file", "--server"],
        value: "ps",
        ..EACH
    },
    // The first operand names machines.
    Interpreter { names: &["salt"], value: "tbCLEGNSRI", operands: Operands::AllCode(1), ..TOOL },
    Interpreter { names: &["salt-call", "salt-run", "salt-ssh"], loads: "cm", value: "lt", ..EACH },
    Interpreter {
        names: &["puppet"],
        commands: &[Interpreter {
            names: &["apply"],
            code: "e",
            code_long: &["--execute"],
            loads_long: &["--modulepath", "--hiera_config", "--confdir", "--config"],
            value: "l",
            ..EACH
        }],
        ..TOOL
    },
    Interpreter {
        names: &["chef-client", "chef-solo", "chef-apply", "cinc-client"],
        code: "ejrocz",
        code_long: &["--execute", "--json-attributes", "--runlist", "--override-runlist", "--config", "--recipe-url"],
        value: "EnlL",
        ..EACH
    },
    Interpreter {
        names: &["aws"],
        value_long: &["--profile", "--region", "--output", "--query", "--endpoint-url"],
        code_long: &[
            "--parameters",
            "--command",
            "--overrides",
            "--container-definitions",
            "--template-body",
            "--template-file",
            "--template-url",
            "--user-data",
            "--image-uri",
            "--zip-file",
            "--s3-key",
            "--cli-input-json",
            "--cli-input-yaml",
        ],
        ..TOOL
    },
    Interpreter {
        names: &["gcloud", "az"],
        value_long: &["--project", "--region", "--zone", "--account", "--format", "--resource-group", "--name"],
        code_long: &[
            "--command",
            "--source",
            "--image",
            "--config",
            "--metadata",
            "--metadata-from-file",
            "--scripts",
            "--exec-command",
            "--template-file",
            "--template-uri",
            "--flags-file",
            "--command-id",
            "--container-image",
        ],
        ..TOOL
    },
    Interpreter {
        names: &["fly", "flyctl"],
        code: "C",
        code_long: &["--command"],
        loads: "ci",
        loads_long: &["--config", "--image", "--dockerfile"],
        value: "a",
        ..TOOL
    },
    Interpreter { names: &["cdk", "cdktf"], code: "ac", code_long: &["--app", "--context"], ..TOOL },
    Interpreter {
        names: &["gh"],
        value: "R",
        commands: &[Interpreter { names: &["extension", "extensions", "alias"], ..EACH }],
        ..TOOL
    },
];

//! What frameworks and package managers take for code: their command lines run code of an application, and a package that is
//! installed or fetched runs code of its own.

use super::interpreters::{Interpreter, NONE, Operands, file_name, name};

/// The interpreters whose script may be one of these: `php artisan`, `python manage.py`.
const HOSTS: [&str; 4] = ["python", "php", "ruby", "node"];

/// A command whose first operand is code.
const CODE: Interpreter = Interpreter { operands: Operands::Code, ..NONE };
/// A command all of whose operands are code, or name it.
const ALL_CODE: Interpreter = Interpreter { operands: Operands::AllCode(0), permutes: true, ..NONE };
/// A command that names what runs, and passes on what follows.
const RUNS: Interpreter = Interpreter { operands: Operands::Program(0), ..NONE };

/// Does this interpreter run this script (or module), which is judged by itself?
pub(super) fn is_script(host: &Interpreter, script: &str) -> bool {
    let names = [file_name(script), name(script)];
    HOSTS.iter().any(|called| host.names.contains(called))
        && ALL.iter().any(|known| known.names.iter().any(|called| names.contains(called)))
}

pub(super) const ALL: &[Interpreter] = &[
    Interpreter {
        names: &["rails", "rake"],
        code: "Eefpr",
        code_long: &["--execute", "--execute-print", "--execute-continue", "--rakefile", "--require"],
        commands: &[
            Interpreter { names: &["runner", "r"], value: "e", value_long: &["--environment"], ..CODE },
            Interpreter { names: &["console", "c", "dbconsole", "db"], value: "e", code_on_stdin: true, ..NONE },
            Interpreter {
                names: &["new", "app:template"],
                loads: "mb",
                loads_long: &["--template", "--builder"],
                ..NONE
            },
        ],
        ..NONE
    },
    Interpreter {
        names: &["manage.py", "django-admin", "django"],
        loads_long: &["--settings", "--pythonpath"],
        commands: &[
            Interpreter {
                names: &["shell", "shell_plus"],
                code: "c",
                code_long: &["--command"],
                value: "i",
                code_on_stdin: true,
                ..NONE
            },
            Interpreter { names: &["runscript"], ..CODE },
            Interpreter { names: &["startproject", "startapp"], loads_long: &["--template"], ..NONE },
        ],
        ..NONE
    },
    Interpreter {
        names: &["artisan"],
        commands: &[Interpreter {
            names: &["tinker"],
            code_long: &["--execute"],
            operands: Operands::AllCode(0),
            code_on_stdin: true,
            permutes: true,
            ..NONE
        }],
        ..NONE
    },
    Interpreter {
        names: &["wp", "wp-cli.phar"],
        code_long: &["--exec", "--require", "--ssh", "--path"],
        commands: &[
            Interpreter {
                names: &["eval", "eval-file"],
                code_long: &["--exec", "--require", "--ssh", "--path"],
                permutes: true,
                ..CODE
            },
            Interpreter { names: &["shell"], code_on_stdin: true, ..NONE },
            Interpreter { names: &["package"], code_after: &[&["install"]], ..NONE },
            Interpreter { names: &["plugin", "theme"], code_after: &[&["install"]], ..NONE },
        ],
        ..NONE
    },
    Interpreter {
        names: &["drush"],
        commands: &[
            Interpreter { names: &["php:eval", "eval", "ev", "php-eval", "php:script", "scr", "php-script"], ..CODE },
            Interpreter { names: &["sql:query", "sqlq", "sql-query"], ..CODE },
        ],
        ..NONE
    },
    Interpreter {
        names: &["celery"],
        loads: "A",
        loads_long: &["--app", "--config", "--workdir", "--loader"],
        value: "bclnPQ",
        commands: &[Interpreter { names: &["shell"], code_on_stdin: true, ..NONE }],
        ..NONE
    },
    Interpreter {
        names: &["flask", "uvicorn", "gunicorn", "hypercorn", "daphne"],
        loads: "Ack",
        loads_long: &["--app", "--config", "--worker-class", "--app-dir", "--factory"],
        value: "bwtl",
        operands: Operands::Code,
        ..NONE
    },
    Interpreter {
        names: &["pytest", "rspec", "phpunit", "jest", "mocha"],
        code: "rpc",
        code_long: &["--require", "--bootstrap", "--config", "--rootdir"],
        operands: Operands::AllCode(0),
        permutes: true,
        ..NONE
    },
    // What is fetched runs.
    Interpreter {
        names: &["npx", "bunx", "pnpx"],
        code: "pc",
        code_long: &["--package", "--call", "--node-options", "--shell"],
        loads_long: &["--registry"],
        ..RUNS
    },
    Interpreter {
        names: &["uvx"],
        loads: "p",
        loads_long: &[
            "--from",
            "--with",
            "--with-editable",
            "--with-requirements",
            "--index-url",
            "--index",
            "--python",
            "--env-file",
        ],
        ..RUNS
    },
    Interpreter {
        names: &["pipx"],
        commands: &[
            Interpreter {
                names: &["run"],
                loads_long: &["--spec", "--with", "--pip-args", "--index-url", "--python", "-i"],
                ..RUNS
            },
            Interpreter { names: &["install", "inject", "upgrade", "runpip"], ..ALL_CODE },
        ],
        ..NONE
    },
    Interpreter {
        names: &["npm", "pnpm", "yarn"],
        code_long: &["--script-shell", "--node-options", "--prefix"],
        loads_long: &["--registry", "--userconfig", "--globalconfig"],
        loads: "C",
        commands: &[
            Interpreter {
                names: &["exec", "x", "dlx"],
                code: "c",
                code_long: &["--call", "--package", "--script-shell"],
                loads: "p",
                operands: Operands::Program(0),
                ..NONE
            },
            Interpreter { names: &["run", "run-script", "node"], code_long: &["--script-shell"], ..CODE },
            Interpreter {
                names: &["install", "i", "add", "ci", "update", "init", "create", "link", "explore"],
                ..ALL_CODE
            },
        ],
        ..NONE
    },
    Interpreter {
        names: &["pip", "gem", "cpan", "cpanm", "easy_install", "luarocks"],
        commands: &[Interpreter {
            names: &["install", "wheel", "download", "exec", "build"],
            loads: "rei",
            loads_long: &[
                "--index-url",
                "--extra-index-url",
                "--find-links",
                "--requirement",
                "--editable",
                "--source",
            ],
            ..ALL_CODE
        }],
        ..NONE
    },
    Interpreter {
        names: &["apt", "apt-get", "dnf", "yum", "zypper", "apk", "pacman", "brew", "flatpak"],
        loads: "oc",
        loads_long: &["--option", "--config-file", "--setopt", "--config"],
        commands: &[Interpreter {
            names: &["install", "localinstall", "add", "in", "run", "reinstall", "build-dep"],
            loads: "oc",
            ..ALL_CODE
        }],
        ..NONE
    },
    Interpreter {
        names: &["dpkg", "rpm"],
        code: "iIUFE",
        code_long: &["--install", "--eval", "--pipe", "--unpack", "--upgrade", "--define", "--rcfile"],
        loads: "D",
        value: "LsSlpf",
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["go"],
        loads: "C",
        commands: &[
            Interpreter {
                names: &["run", "tool"],
                code_long: &[
                    "-exec",
                    "-toolexec",
                    "-ldflags",
                    "-gcflags",
                    "-overlay",
                    "-modfile",
                    "-compiler",
                    "-pkgdir",
                ],
                value_long: &["-p", "-tags", "-mod"],
                ..CODE
            },
            Interpreter {
                names: &["build", "test", "install", "get", "generate", "vet", "list"],
                code_long: &["-exec", "-toolexec", "-ldflags", "-gcflags", "-overlay", "-modfile", "-vettool"],
                value_long: &["-p", "-tags", "-mod", "-o", "-run"],
                ..ALL_CODE
            },
        ],
        ..NONE
    },
    Interpreter {
        names: &["cargo"],
        code_long: &["--config", "--manifest-path"],
        loads: "CZ",
        commands: &[
            Interpreter {
                names: &["run", "r", "test", "t", "bench"],
                code_long: &["--config", "--manifest-path", "--bin", "--example"],
                loads: "p",
                ..NONE
            },
            Interpreter {
                names: &["install", "add"],
                code_long: &["--config", "--git", "--path", "--index", "--registry"],
                ..ALL_CODE
            },
        ],
        ..NONE
    },
    Interpreter {
        names: &["composer", "composer.phar"],
        loads: "d",
        loads_long: &["--working-dir"],
        commands: &[
            Interpreter { names: &["exec", "run-script", "run"], ..RUNS },
            Interpreter { names: &["require", "create-project", "global", "install"], ..ALL_CODE },
        ],
        ..NONE
    },
];

//! Tools of which some options or operands name a program, a file of code, or hold code themselves.
//!
//! Longer than 400 lines because each program is a row of one table.

use super::interpreters::{Interpreter, NONE, Operands};

/// One that reads options behind its operands, too, and takes these for data.
const TOOL: Interpreter = Interpreter { permutes: true, ..NONE };

/// How Ansible takes its options.
const ANSIBLE: Interpreter = Interpreter {
    code: "aemiMU",
    code_long: &[
        "--args",
        "--extra-vars",
        "--inventory",
        "--module-name",
        "--module-path",
        "--ssh-common-args",
        "--ssh-extra-args",
        "--scp-extra-args",
        "--sftp-extra-args",
        "--playbook-dir",
        "--vault-password-file",
        "--vault-id",
        "--url",
    ],
    value: "ftuPTBlcd",
    ..TOOL
};

pub(super) const ALL: &[Interpreter] = &[
    // Languages that are compiled.
    Interpreter {
        names: &["java", "javaw"],
        // Its other options have their value in the same item.
        rest: "DXdesv",
        code_long: &["-jar", "-m", "--module"],
        loads_long: &[
            "-cp",
            "-classpath",
            "--class-path",
            "-p",
            "--module-path",
            "--upgrade-module-path",
            "--patch-module",
            "--source",
            "-XX:OnOutOfMemoryError",
            "-XX:OnError",
            "-XX:Flags",
            "-XX:VMOptionsFile",
            "-XX:CompileCommandFile",
        ],
        code_begin: &[
            "-javaagent:",
            "-agentpath:",
            "-agentlib:",
            "-Xrun",
            "-Xbootclasspath",
            "-XX:OnOutOfMemoryError=",
            "-XX:OnError=",
            "-Djava.class.path=",
            "-Djava.library.path=",
            "-Djava.system.class.loader=",
        ],
        value_long: &["--add-modules", "--add-exports", "--add-opens", "--add-reads", "--limit-modules"],
        // A file of arguments behind an at sign, too.
        operands: Operands::Code,
        ..NONE
    },
    Interpreter {
        names: &["javac", "javadoc", "kotlinc", "scalac"],
        loads_long: &[
            "-processor",
            "-processorpath",
            "--processor-path",
            "--processor-module-path",
            "-Xplugin",
            "-doclet",
            "-docletpath",
            "-cp",
            "-classpath",
            "--class-path",
        ],
        code_begin: &["-J", "-Xplugin:"],
        value_long: &["-d", "-s", "-h", "-encoding", "-source", "-target", "--release"],
        rest: "gXA",
        marks: &["@"],
        ..TOOL
    },
    Interpreter {
        names: &["rustc"],
        loads: "C",
        loads_long: &["--codegen", "--sysroot"],
        value: "oLlWADF",
        marks: &["@"],
        ..TOOL
    },
    Interpreter {
        names: &["ld", "ar", "objcopy", "strip", "nm", "objdump"],
        loads_long: &["-plugin", "--plugin", "-dynamic-linker"],
        code_begin: &["-Wl,"],
        rest: "lLrmqtxvz",
        value: "oT",
        marks: &["@"],
        ..TOOL
    },
    Interpreter { names: &["ldd"], operands: Operands::Code, ..TOOL },
    Interpreter { names: &["cmake"], code: "PC", code_long: &["-E"], loads: "DT", value: "SBGAH", ..TOOL },
    Interpreter {
        names: &["mvn", "mvnw", "gradle", "gradlew", "ant"],
        code: "fIbs",
        code_long: &["-file", "-buildfile", "--file", "--init-script", "--build-file", "--settings", "-lib"],
        loads: "Dp",
        operands: Operands::AllCode(0),
        ..TOOL
    },
    Interpreter { names: &["dotnet", "mono", "wine", "qemu-user"], operands: Operands::Code, ..NONE },
    // The network.
    Interpreter {
        names: &["wget"],
        code: "e",
        code_long: &["--use-askpass", "--execute", "--config"],
        value: "oaiBtOTwQPUlADIXR",
        ..TOOL
    },
    Interpreter {
        names: &["nmap"],
        code_long: &["--script", "-script", "--datadir", "--servicedb", "--versiondb"],
        rest: "sPTOo",
        value: "pgDSei",
        ..TOOL
    },
    Interpreter { names: &["tcpdump"], code: "z", value: "BcCEFGijmMrsTVwWy", ..TOOL },
    Interpreter {
        names: &["tshark", "dumpcap", "wireshark"],
        loads: "X",
        value: "bBcCdefFGhiIjkKNorRsStTuUvVwWYz",
        ..TOOL
    },
    // An address may be a program: `EXEC:PROGRAM`.
    Interpreter { names: &["socat"], operands: Operands::AllCode(0), value: "lLW", ..TOOL },
    Interpreter {
        names: &["nc", "ncat", "netcat"],
        code: "ec",
        code_long: &["--exec", "--sh-exec", "--lua-exec"],
        value: "gGiopPqsTVwxX",
        ..TOOL
    },
    Interpreter {
        names: &["mosh"],
        code_long: &["--ssh", "--server", "--client"],
        value: "pao",
        operands: Operands::AllCode(1),
        ..TOOL
    },
    Interpreter { names: &["sshfs"], code: "o", loads: "F", value: "p", ..TOOL },
    Interpreter {
        names: &["openvpn"],
        code_long: &["--up", "--down", "--config", "--plugin", "--route-up", "--tls-verify"],
        operands: Operands::Code,
        ..TOOL
    },
    Interpreter {
        names: &["openssl"],
        code_long: &["-engine", "-config", "-provider", "-provider-path", "-crypt"],
        permutes: true,
        ..NONE
    },
    Interpreter {
        names: &["certbot"],
        code_long: &[
            "--deploy-hook",
            "--renew-hook",
            "--pre-hook",
            "--post-hook",
            "--manual-auth-hook",
            "--manual-cleanup-hook",
        ],
        loads_long: &["--config", "--config-dir"],
        loads: "c",
        value: "dmw",
        ..TOOL
    },
    Interpreter {
        // A remote place that begins with a colon holds options of its own: `:sftp,ssh="COMMAND":`.
        names: &["rclone"],
        code_long: &["--password-command", "--metadata-mapper", "--config", "--sftp-ssh"],
        marks: &[":"],
        ..TOOL
    },
    Interpreter {
        names: &["restic", "borg", "duplicity", "rdiff-backup"],
        code_long: &[
            "--password-command",
            "--rsh",
            "--remote-path",
            "--remote-schema",
            "--gpg-binary",
            "--gpg-options",
            "--rsync-options",
            "--ssh-options",
            "--ssh-cmd",
        ],
        code: "o",
        value: "rpHeag",
        ..TOOL
    },
    // Version control, besides git.
    Interpreter {
        names: &["svn", "svnadmin", "svnsync"],
        code_long: &["--config-option", "--config-dir", "--diff-cmd", "--diff3-cmd", "--editor-cmd"],
        value: "rcmFx",
        value_long: &["--username", "--password", "--revision", "--message", "--file", "--depth"],
        ..TOOL
    },
    Interpreter {
        names: &["hg", "chg"],
        code_long: &["--config", "--ssh", "--remotecmd", "--tool"],
        value: "R",
        value_long: &["--cwd", "--repository"],
        commands: &[
            Interpreter {
                names: &["clone", "pull", "push", "incoming", "outgoing"],
                code: "e",
                code_long: &["--config", "--ssh", "--remotecmd"],
                value: "rbu",
                ..TOOL
            },
            Interpreter {
                names: &["serve"],
                code_long: &["--config", "--web-conf", "--cmdserver"],
                value: "ap",
                ..TOOL
            },
        ],
        ..TOOL
    },
    Interpreter { names: &["cvs"], code: "e", loads: "d", value: "mrDj", ..TOOL },
    // Files.
    Interpreter {
        names: &["gpg", "gpgsm", "gpgv"],
        code_long: &[
            "--exec-path",
            "--photo-viewer",
            "--agent-program",
            "--dirmngr-program",
            "--keyboxd-program",
            "--pinentry-program",
            "--load-extension",
            "--options",
            "--homedir",
        ],
        value: "urRNozh",
        ..TOOL
    },
    Interpreter {
        // A format may be the name of a file in Lua, and a file of defaults names filters.
        names: &["pandoc"],
        code: "FLd",
        code_long: &["--filter", "--lua-filter", "--defaults", "--pdf-engine", "--pdf-engine-opt", "--data-dir"],
        loads: "ftrw",
        loads_long: &["--from", "--to", "--read", "--write"],
        value: "oVMHBAcTD",
        value_long: &["--output", "--variable", "--metadata", "--template", "--css"],
        ..TOOL
    },
    // Each file of a folder runs.
    Interpreter { names: &["run-parts"], value: "au", operands: Operands::AllCode(0), ..TOOL },
    // The first operand is an expression in Perl.
    Interpreter {
        names: &["rename", "prename", "file-rename", "perl-rename"],
        code: "eE",
        code_long: &["--expr", "--expression"],
        operands: Operands::Code,
        permutes: true,
        ..NONE
    },
    // Libraries of keys.
    Interpreter { names: &["ssh-add"], loads: "sSe", value: "EHtT", ..TOOL },
    Interpreter { names: &["ssh-keygen"], loads: "Dw", value: "abCEFfIMmNnOPRrsTtVYZz", ..TOOL },
    Interpreter { names: &["zip"], code_two: &["TT"], code_long: &["--unzip-command"], value: "btnPxisZO", ..TOOL },
    Interpreter { names: &["cpio"], code_long: &["--rsh-command", "--rmt-command"], value: "CEFHIMOR", ..TOOL },
    Interpreter {
        names: &["fd", "fdfind"],
        code: "xX",
        code_long: &["--exec", "--exec-batch"],
        value: "dtecEjS",
        ..TOOL
    },
    Interpreter {
        names: &["rg", "ag", "ack", "bat", "batcat"],
        code_long: &["--pre", "--hostname-bin", "--pager"],
        value: "ABCEefgjmMrtTl",
        ..TOOL
    },
    Interpreter {
        names: &["fzf"],
        code_long: &["--preview", "--bind", "--execute", "--with-shell", "--filter-cmd"],
        value: "dfqn",
        ..TOOL
    },
    Interpreter {
        names: &["man"],
        code: "PH",
        code_long: &["--pager", "--html", "--config-file", "--preprocessor"],
        loads: "C",
        value: "RLmMSserEpT",
        ..TOOL
    },
    Interpreter { names: &["ctags"], code_long: &["--options", "--_interactive"], value: "fLo", ..TOOL },
    Interpreter {
        names: &["mlr"],
        code: "s",
        value: "n",
        value_long: &["--ifs", "--ofs", "--ips", "--ops", "--irs", "--ors", "--from"],
        operands: Operands::Data,
        code_after: &[&["put"], &["filter"]],
        ..NONE
    },
    Interpreter {
        names: &["xsltproc", "bpftrace", "stap"],
        code: "e",
        value: "o",
        pair_long: &["--param", "--stringparam"],
        operands: Operands::Code,
        ..NONE
    },
    // Pictures, films and documents.
    Interpreter {
        // A filter may load a library (`ladspa=file=`), and a value may end one filter and begin another.
        names: &["ffmpeg", "ffplay", "ffprobe"],
        code_long: &[
            "-vf",
            "-af",
            "-filter",
            "-filter:v",
            "-filter:a",
            "-filter:v:0",
            "-filter:a:0",
            "-filter_complex",
            "-lavfi",
            "-filter_script",
            "-filter_script:v",
            "-filter_script:a",
            "-filter_complex_script",
            "-/filter_complex",
            "-init_hw_device",
        ],
        rest: "abcdefghijklmnopqrstuvwxyz",
        ..TOOL
    },
    Interpreter {
        // What stands before a colon says how a file is read, and `msl:` is a script. A bar begins a command.
        names: &["convert", "magick", "mogrify", "identify", "composite", "montage", "gm"],
        code_long: &["-script", "-draw", "-fx", "-process", "-write"],
        pair_long: &["-set", "-annotate", "-morphology", "-distort", "-sparse-color", "-evaluate", "-function"],
        flags: &[
            "-auto-orient",
            "-strip",
            "-normalize",
            "-flatten",
            "-append",
            "+append",
            "-coalesce",
            "-negate",
            "-flip",
            "-flop",
            "-trim",
            "-transpose",
            "-transverse",
            "-enhance",
            "-despeckle",
            "-equalize",
            "-monitor",
            "-verbose",
            "-quiet",
            "-ping",
            "-regard-warnings",
            "-mosaic",
            "-identify",
            "-clone",
            "+clone",
            "-combine",
            "-separate",
            "-monochrome",
            "-auto-level",
            "-auto-gamma",
            "-deskew",
            "-unique-colors",
            "-version",
            "-list",
            "-respect-parentheses",
            "+repage",
            "+profile",
            "+dither",
            "+matte",
            "-matte",
            "+adjoin",
            "-adjoin",
            "+swap",
            "-reverse",
            "-delete",
            "+delete",
            "--",
        ],
        marks: &["|", "@", "msl:", "mvg:", "ephemeral:", "https:", "http:", "url:", "text:", "vid:"],
        ..TOOL
    },
    Interpreter {
        // A file is a program in PostScript, and a name that begins with `%pipe%` or a bar is a command.
        names: &["gs", "ghostscript", "gsc"],
        code_long: &["-c", "-sOutputFile", "-sstdout"],
        loads: "oIf",
        code_begin: &["-sOutputFile=", "-sstdout="],
        rest: "dDsSrgqu",
        marks: &["@", "%", "|"],
        ..TOOL
    },
    Interpreter {
        names: &["tex", "latex", "pdftex", "pdflatex", "xelatex", "lualatex", "luatex", "latexmk"],
        code_long: &["-fmt", "-usepretex", "-pretex", "-e", "-r", "-pdflatex", "-latex", "--lua", "-output-comment"],
        value_long: &["-output-directory", "-jobname", "-interaction", "-output-format"],
        marks: &["\\", "&", "|"],
        rest: "abcdfghijklmnopqstuvwxyz",
        ..TOOL
    },
    Interpreter {
        names: &["soffice", "libreoffice", "lowriter", "localc", "unoconv"],
        loads_long: &["-env:UserInstallation"],
        code_begin: &["-env:"],
        value_long: &["--convert-to", "--outdir", "--infilter"],
        marks: &["macro:", "vnd.sun.star"],
        ..TOOL
    },
    Interpreter {
        names: &["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "headless_shell"],
        code_long: &[
            "--renderer-cmd-prefix",
            "--utility-cmd-prefix",
            "--gpu-launcher",
            "--ppapi-plugin-launcher",
            "--browser-subprocess-path",
            "--load-extension",
        ],
        ..TOOL
    },
    Interpreter {
        names: &["blender"],
        code_long: &["--python", "--python-expr", "--python-text", "--python-console", "--addons"],
        code: "P",
        value: "osefEFtj",
        ..TOOL
    },
    Interpreter { names: &["inkscape"], code_long: &["--actions", "--actions-file"], value: "obdwhit", ..TOOL },
    Interpreter { names: &["gimp", "gimp-console"], code: "b", code_long: &["--batch"], value: "g", ..TOOL },
    // Mail.
    Interpreter { names: &["mutt", "neomutt"], code: "eF", value: "abcfimsQA", ..TOOL },
    Interpreter { names: &["mailx", "s-nail", "heirloom-mailx"], code: "XS", value: "abcfqrsTuA", ..TOOL },
    Interpreter {
        names: &["sendmail", "exim", "postfix"],
        code_long: &["-be", "-bem", "-bd"],
        loads: "CDX",
        rest: "obBdMQ",
        value: "fFNRrVL",
        ..TOOL
    },
    // Downloads, pages and editors.
    Interpreter {
        names: &["aria2c"],
        loads_long: &[
            "--conf-path",
            "--on-bt-download-complete",
            "--on-download-complete",
            "--on-download-error",
            "--on-download-pause",
            "--on-download-start",
            "--on-download-stop",
        ],
        value: "dolijskxUm",
        ..TOOL
    },
    Interpreter {
        names: &["lynx"],
        code_begin: &["-editor=", "-cfg=", "-cmd_script=", "-lss="],
        code_long: &["-editor", "-cfg", "-cmd_script", "-lss"],
        ..TOOL
    },
    Interpreter {
        names: &["nano", "rnano", "pico"],
        loads: "s",
        loads_long: &["--speller", "--rcfile"],
        value: "CJQTXYor",
        ..TOOL
    },
    Interpreter {
        names: &["emacsclient"],
        code: "e",
        code_long: &["--eval"],
        loads: "a",
        loads_long: &["--alternate-editor"],
        value: "sfFdpT",
        ..TOOL
    },
    // Machines.
    Interpreter { names: &["ansible", "ansible-console", "ansible-inventory"], ..ANSIBLE },
    Interpreter { names: &["ansible-playbook", "ansible-pull"], scripts: &[".yml", ".yaml"], ..ANSIBLE },
    Interpreter {
        names: &["crontab"],
        value: "u",
        operands: Operands::Code,
        code_on_stdin: true,
        leaves_stdin: "lre",
        ..TOOL
    },
    Interpreter {
        names: &["logrotate", "supervisord", "monit", "nginx"],
        code: "cg",
        value: "slp",
        operands: Operands::Code,
        ..TOOL
    },
    Interpreter { names: &["modprobe", "insmod"], loads: "Cd", operands: Operands::AllCode(0), ..TOOL },
];

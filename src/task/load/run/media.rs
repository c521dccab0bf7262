//! Tools for sound, films and pictures that were found later than those in `tools`.

use super::interpreters::{Interpreter, NONE};

pub(super) const ALL: &[Interpreter] = &[
    Interpreter {
        // A condition and a format hold code in Perl, and so does what a tag is copied from: `-TAG<EXPRESSION`.
        names: &["exiftool"],
        code_long: &["-if", "-p", "-printFormat", "-config", "-@", "-api", "-userParam"],
        value_long: &[
            "-o",
            "-out",
            "-ext",
            "-x",
            "-exclude",
            "-i",
            "-ignore",
            "-w",
            "-textOut",
            "-tagsFromFile",
            "-srcfile",
            "-fileOrder",
            "-password",
            "-charset",
            "-lang",
            "-d",
            "-dateFormat",
            "-c",
            "-coordFormat",
            "-sep",
            "-separator",
        ],
        permutes: true,
        ..NONE
    },
    // A file whose name begins with a bar is a command.
    Interpreter { names: &["sox", "play", "rec", "soxi"], value: "bcCeLrtv", marks: &["|"], permutes: true, ..NONE },
    Interpreter {
        names: &["yt-dlp", "youtube-dl", "youtube-dlc"],
        code_long: &[
            "--exec",
            "--exec-before-download",
            "--downloader",
            "--external-downloader",
            "--downloader-args",
            "--external-downloader-args",
            "--postprocessor-args",
            "--ppa",
            "--use-postprocessor",
            "--ffmpeg-location",
            "--netrc-cmd",
            "--plugin-dirs",
            "--config-location",
            "--config-locations",
        ],
        value: "afIoprRuSPN",
        permutes: true,
        ..NONE
    },
];

//! One child process: argv, environment, process group, output, end. Knows no jobs.

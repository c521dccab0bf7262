//! The output of a process: the lines do not depend on how the reads cut it.

use windlass::fuzzing::output_lines;

pub fn target(data: &[u8]) {
    let Some((&size, output)) = data.split_first() else { return };
    let whole = output_lines([output]);
    assert_eq!(output_lines(output.chunks(usize::from(size).max(1))), whole);
    assert!(whole.iter().all(|(line, _)| !line.contains('\n')));
}

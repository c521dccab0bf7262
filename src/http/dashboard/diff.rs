//! What changes between two texts, line by line.

/// How many lines of a text are compared: more are shown as gone and come.
const MOST: usize = 600;

/// A line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Line {
    Same(String),
    Gone(String),
    Came(String),
}

/// The lines of both texts in one order, as many as possible the same.
pub(super) fn diff(before: &str, after: &str) -> Vec<Line> {
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let gone = |line: &&str| Line::Gone((*line).to_owned());
    let came = |line: &&str| Line::Came((*line).to_owned());
    if old.len() > MOST || new.len() > MOST {
        return old.iter().map(gone).chain(new.iter().map(came)).collect();
    }
    // How many lines the rests behind each pair of places have in common at most.
    let mut common = vec![vec![0_u16; new.len() + 1]; old.len() + 1];
    for one in (0..old.len()).rev() {
        for other in (0..new.len()).rev() {
            common[one][other] = if old[one] == new[other] {
                common[one + 1][other + 1] + 1
            } else {
                common[one + 1][other].max(common[one][other + 1])
            };
        }
    }
    let (mut one, mut other, mut lines) = (0, 0, Vec::new());
    while one < old.len() && other < new.len() {
        if old[one] == new[other] {
            lines.push(Line::Same(old[one].to_owned()));
            (one, other) = (one + 1, other + 1);
        } else if common[one + 1][other] >= common[one][other + 1] {
            lines.push(gone(&old[one]));
            one += 1;
        } else {
            lines.push(came(&new[other]));
            other += 1;
        }
    }
    lines.extend(old[one..].iter().map(gone));
    lines.extend(new[other..].iter().map(came));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(before: &str, after: &str) -> String {
        let line = |line: Line| match line {
            Line::Same(text) => format!(" {text}"),
            Line::Gone(text) => format!("-{text}"),
            Line::Came(text) => format!("+{text}"),
        };
        diff(before, after).into_iter().map(line).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_stays_is_the_same_and_the_rest_goes_and_comes() {
        assert_eq!(told("a\nb\nc", "a\nx\nc\nd"), " a -b +x  c +d");
        assert_eq!(told("", "a"), "+a");
        assert_eq!(told("a\nb", "a\nb"), " a  b");
        let long = "x\n".repeat(MOST + 1);
        assert_eq!(diff(&long, "x").len(), MOST + 2, "it takes no long time");
    }
}

//! Placeholders in argv: one item a line, and a job's arguments in the last line.

use windlass::fuzzing::argv;
use windlass::task::handler_spec::{Piece, Template};

pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (items, args) = text.rsplit_once('\n').unwrap_or((text, "[]"));
    let Ok(templates) = items.split('\n').map(Template::parse).collect::<Result<Vec<_>, _>>() else { return };
    let Ok(argv) = argv(templates.clone(), args.as_bytes(), "7", "mail") else { return };
    assert_eq!(argv.len(), templates.len());
    let mut options_over = false;
    for (position, (template, item)) in templates.iter().zip(&argv).enumerate() {
        let inserted = |piece: &Piece| !matches!(piece, Piece::Text(_));
        if template.pieces.iter().all(inserted) && !options_over {
            assert!(!item.starts_with('-'), "{item:?} would be read as an option");
        }
        let own: usize = template.as_text().map_or(0, |text| text.matches('\0').count());
        assert!(template.as_text().is_none() || item.matches('\0').count() == own);
        options_over |= position > 0 && template.as_text() == Some("--");
    }
}

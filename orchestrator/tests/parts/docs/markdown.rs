//! What the tests need of a page: its links, anchors, blocks of code and words in code.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page, read.
pub struct Page {
    pub path: PathBuf,
    /// Where links and pictures lead.
    pub links: Vec<Place>,
    /// What a link may name behind `#`.
    pub anchors: Vec<String>,
    pub blocks: Vec<Block>,
    /// Words in code inside of text.
    pub code: Vec<Place>,
}

/// A text and its line.
pub struct Place {
    pub line: usize,
    pub text: String,
}

/// A block of code.
pub struct Block {
    /// Line of its first line of code, or of its fence.
    pub line: usize,
    /// What stands behind the fence; empty for an indented block.
    pub info: String,
    pub text: String,
}

impl Page {
    pub fn read(path: &Path) -> Page {
        let text = std::fs::read_to_string(path).unwrap();
        Page::parse(path, &text)
    }

    pub fn parse(path: &Path, text: &str) -> Page {
        let mut page = Page {
            path: path.to_owned(),
            links: Vec::new(),
            anchors: Vec::new(),
            blocks: Vec::new(),
            code: Vec::new(),
        };
        let (mut heading, mut is_code) = (None::<String>, false);
        let mut seen = HashMap::new();
        for (event, range) in Parser::new_ext(text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..range.start].lines().count() + usize::from(text[..range.start].ends_with('\n'));
            let line = line.max(1);
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push(Place { line, text: dest_url.into_string() });
                }
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    page.anchors.push(anchor(&heading.take().unwrap_or_default(), &mut seen));
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    let info = match kind {
                        CodeBlockKind::Fenced(info) => info.into_string(),
                        CodeBlockKind::Indented => String::new(),
                    };
                    page.blocks.push(Block { line, info, text: String::new() });
                    is_code = true;
                }
                Event::End(TagEnd::CodeBlock) => is_code = false,
                Event::Text(words) if is_code => {
                    page.blocks.last_mut().unwrap().text.push_str(&words);
                }
                Event::Text(words) => heading.iter_mut().for_each(|heading| heading.push_str(&words)),
                Event::Code(words) => {
                    heading.iter_mut().for_each(|heading| heading.push_str(&words));
                    page.code.push(Place { line, text: words.into_string() });
                }
                _ => {}
            }
        }
        page
    }

    /// `path:line`, as a fault begins.
    pub fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.strip_prefix(super::root()).unwrap_or(&self.path).display())
    }
}

/// A heading's anchor, as forges and mdBook make it; the second of the same words has a number.
fn anchor(heading: &str, seen: &mut HashMap<String, usize>) -> String {
    let heading = heading.to_lowercase();
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    let words: String = kept.map(|c| if c == ' ' { '-' } else { c }).collect();
    let count = seen.entry(words.clone()).or_insert(0);
    *count += 1;
    if *count == 1 { words } else { format!("{words}-{}", *count - 1) }
}

#[test]
fn what_a_page_has_is_found() {
    let text = "# One `two`: 3\n\nSee [x](a.md#b) and `farmctl plan X`.\n\n```yaml sweep\nmodels: [a]\n```\n\n\
                # One two 3\n\n    farmctl doctor\n";
    let page = Page::parse(Path::new("x.md"), text);
    assert_eq!(page.anchors, ["one-two-3", "one-two-3-1"]);
    assert_eq!((page.links[0].text.as_str(), page.links[0].line), ("a.md#b", 3));
    assert_eq!((page.code[1].text.as_str(), page.code[1].line), ("farmctl plan X", 3));
    let blocks: Vec<_> = page.blocks.iter().map(|it| (it.info.as_str(), it.text.as_str(), it.line)).collect();
    assert_eq!(blocks, [("yaml sweep", "models: [a]\n", 5), ("", "farmctl doctor\n", 11)]);
}

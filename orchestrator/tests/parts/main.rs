//! Parts of farmctl with the real programs around them, in one program, so that it is linked once.
#![allow(clippy::unwrap_used, missing_docs)]

mod docs;

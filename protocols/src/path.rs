//! Where in a request's body something stands, written out only when somebody is told.
//!
//! Owns     a chain of borrowed steps on the stack.
//! Called   by the readers of requests, for faults and for members without a place in the neutral form.
//! Bounded  by how deep the reader looks: five steps.
//! Fails    never.

use std::fmt;

use crate::openai::RequestFault;

/// A place in a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Path<'p> {
    /// The body itself.
    Body,
    /// A member of an object, under the name that the caller wrote.
    Member(&'p Self, &'p str),
    /// An element of an array, counted from 0.
    Element(&'p Self, usize),
}

impl<'p> Path<'p> {
    /// A member of the body.
    pub(crate) fn top(name: &'p str) -> Self {
        Self::Member(&Self::Body, name)
    }

    pub(crate) fn member(&'p self, name: &'p str) -> Self {
        Self::Member(self, name)
    }

    pub(crate) fn element(&'p self, index: usize) -> Self {
        Self::Element(self, index)
    }

    /// The fault of what stands here instead of what was expected.
    pub(crate) fn expected(&self, expected: &'static str) -> RequestFault {
        RequestFault::Member { member: self.to_string(), expected }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Body => Ok(()),
            Self::Member(Self::Body, name) => f.write_str(name),
            Self::Member(above, name) => write!(f, "{above}.{name}"),
            Self::Element(above, index) => write!(f, "{above}[{index}]"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_says_where() {
        let contents = Path::top("contents");
        let content = contents.element(2);
        assert_eq!(content.member("parts").to_string(), "contents[2].parts");
        assert_eq!(Path::Body.to_string(), "");
    }
}

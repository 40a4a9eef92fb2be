//! Who owns an object: its parent, the parent's parent, and so on.

use std::sync::Arc;

use super::ObjectId;

/// An object that has children.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ancestor {
    pub(crate) id: ObjectId,
    /// `None`: only its id is known.
    pub(crate) name: Option<Arc<str>>,
}

/// The ancestors of a child, its parent first; there is at least one.
///
/// All of them are told, and not the parent alone, because a parent need not be stored when its child is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lineage(Arc<[Ancestor]>);

impl Lineage {
    /// Below `parent`, which is below `above`. `None`: it is nobody's child.
    pub(crate) fn below(parent: Ancestor, above: Option<&Lineage>) -> Self {
        let above = above.into_iter().flat_map(|above| above.0.iter().cloned());
        Lineage(std::iter::once(parent).chain(above).collect())
    }

    /// From ancestors, the parent first. `None`: there are none.
    pub(crate) fn of(ancestors: impl IntoIterator<Item = Ancestor>) -> Option<Self> {
        let ancestors: Arc<[Ancestor]> = ancestors.into_iter().collect();
        (!ancestors.is_empty()).then_some(Lineage(ancestors))
    }

    /// Parents above the object; 1 for the child of an object that has no parent.
    pub(crate) fn depth(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn parent(&self) -> &Ancestor {
        &self.0[0]
    }

    /// The parent first.
    pub(crate) fn ancestors(&self) -> &[Ancestor] {
        &self.0
    }

    /// The lineage of the parent. `None`: it is nobody's child.
    pub(crate) fn of_parent(&self) -> Option<Lineage> {
        Lineage::of(self.0[1..].iter().cloned())
    }

    /// For each ancestor its id, the length of its name and one, little-endian, and its name; a length of 0 says that there
    /// is no name.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for Ancestor { id, name } in self.ancestors() {
            bytes.extend_from_slice(id.as_bytes());
            let length = name.as_ref().map_or(0, |name| name.len() + 1);
            let length = u16::try_from(length).expect("a name is shorter than 65,535 bytes");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(name.as_deref().unwrap_or_default().as_bytes());
        }
        bytes
    }

    /// What [`encode`](Self::encode) gave. `None`: these bytes are nothing of the kind.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let mut ancestors = Vec::new();
        while !bytes.is_empty() {
            let (id, rest) = bytes.split_first_chunk::<{ ObjectId::BYTES }>()?;
            let (length, rest) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (name, rest) = rest.split_at_checked(length.saturating_sub(1))?;
            let name = match length {
                0 => None,
                _ => Some(Arc::from(std::str::from_utf8(name).ok()?)),
            };
            ancestors.push(Ancestor { id: ObjectId::from_bytes(*id), name });
            bytes = rest;
        }
        Lineage::of(ancestors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ancestor(byte: u8, name: Option<&str>) -> Ancestor {
        Ancestor { id: ObjectId::from_bytes([byte; 32]), name: name.map(Arc::from) }
    }

    #[test]
    fn a_lineage_round_trips_with_names_and_without() {
        for names in [&[Some("hall"), None][..], &[None], &[Some(""), Some("é"), Some("x")]] {
            let ancestors = names.iter().zip(1..).map(|(name, byte)| ancestor(byte, *name));
            let lineage = Lineage::of(ancestors).expect("there are some");
            assert_eq!(Lineage::decode(&lineage.encode()), Some(lineage));
        }
    }

    #[test]
    fn bytes_that_are_no_lineage_are_refused() {
        let whole = Lineage::of([ancestor(1, Some("hall"))]).expect("one").encode();
        for end in 0..whole.len() {
            assert_eq!(Lineage::decode(&whole[..end]), None, "{end} bytes");
        }
        let mut bent = whole;
        *bent.last_mut().expect("a name") = 0xff;
        assert_eq!(Lineage::decode(&bent), None, "a name is text");
    }

    #[test]
    fn a_child_stands_below_its_parent_and_all_above_it() {
        let hall = Lineage::below(ancestor(1, Some("hall")), None);
        let ada = Lineage::below(ancestor(2, None), Some(&hall));
        assert_eq!((hall.depth(), ada.depth()), (1, 2));
        assert_eq!(ada.parent().id, ancestor(2, None).id);
        assert_eq!(ada.of_parent(), Some(hall.clone()));
        assert_eq!(hall.of_parent(), None);
    }
}

//! The ways in which the engine could be wrong that the model must notice. Each takes one safeguard away.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Mutant {
    /// What a run was told of keeps what it names itself, not what that names.
    DirectReferences,
    /// A signature that is kept with what it signs does not keep what it names itself.
    SignatureAlone,
    /// The mark begins while changes are under way that do not know of the run.
    NoArmingBarrier,
    /// A push leaves content alone that is there already, instead of renaming its own over it.
    SkipIfExists,
    /// A push looks for content before it has the stripe, and leaves it alone if it was there.
    LookBeforeLock,
    /// A push takes the stripe of its digest shared.
    SharedPublish,
    /// DELETE of a manifest lists its tags before it has the manifest's stripe, and removes them without reading each
    /// again. Either of the two readings under locks prevents the loss, so both have to go.
    DeleteWithoutRereading,
    /// The second of them alone is left out: tags are listed under the stripe, and not read again under their locks.
    TagsReadOnce,
    /// Data goes while the links to it are only unlinked, not durably gone.
    LinksNotSynced,
    /// The tag is written while the manifest is not durable.
    TagBeforeManifest,
    /// A tag is moved or removed without holding the stripe of what it named.
    OldTargetNotHeld,
    /// A manifest is deleted without holding the stripes of what it names.
    NamedNotHeld,
    /// A batch does not hold the stripes of the subjects of what it removes.
    SubjectsNotHeld,
    /// A batch does not hold the stripes of what its members name.
    SweptNamesNotHeld,
    /// A batch does not look again whether somebody has asked for what is about to go.
    GraceForgotten,
    /// A manifest that was renewed before its batch is kept, but not what follows from it.
    RenewedManifestAlone,
    /// A link that was renewed before its batch is kept, but not its content.
    RenewedContentForgotten,
    /// A start accepts writes before everything on the volume is durable.
    NoSyncAtStart,
    /// A run takes what it was told without locks only, not again under those of a batch.
    ToldOnlyBetween,
    /// A run is told of a new root after the locks of the change are free.
    ToldAfterRelease,
    /// A batch goes on when its run was dropped, and what it was told with it.
    GoesOnWhenDropped,
}

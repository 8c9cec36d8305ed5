//! Every diagnostic code, with its page.

macro_rules! codes {
    ($($variant:ident $id:literal $title:literal;)*) => {
        /// The code of a diagnostic. A code never changes its meaning and is never used again.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $(#[doc = $title] $variant,)* }

        impl Code {
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

codes! {
    NotUtf8 "GF0101" "the file is not UTF-8";
    TooLarge "GF0102" "the file is too large";
    Tab "GF0103" "a tab indents a line";
    Syntax "GF0104" "the file is not valid YAML";
    Indentation "GF0105" "a line does not fit the lines above it";
    Unclosed "GF0106" "a quote or bracket is not closed";
    TooComplex "GF0107" "the file is nested or repeated too much";
    SeveralDocuments "GF0108" "the file has several documents";
    DuplicateKey "GF0109" "a key is written twice";
    KeyNotText "GF0110" "a key is not a text";
    UnknownTag "GF0111" "a YAML tag means nothing here";
    UnquotedStart "GF0112" "a value begins with a character that YAML reserves";
    UnquotedTemplate "GF0113" "a template is not quoted";
    ColonInText "GF0114" "a `: ` inside an unquoted value";
    TextAfterQuote "GF0115" "something follows a quoted value";
    CommentInShell "GF0116" "a ` #` cuts a shell command off";
    EmptyFile "GF0117" "the file is empty";
    UnknownKey "GF0201" "a key is not known";
    MissingKey "GF0202" "a key is missing";
    WrongType "GF0203" "a value has the wrong type";
    NoTasks "GF0204" "the DAG has no tasks";
    NoOperator "GF0205" "a task has no operator";
    SeveralOperators "GF0206" "a task has several operators";
    TooMany "GF0207" "there are too many of something";
    KeyConflict "GF0208" "two keys exclude each other";
    InvalidId "GF0301" "an id has characters that ids do not have";
    UnknownTask "GF0302" "`needs` names a task that does not exist";
    NeedsItself "GF0303" "a task needs itself";
    DuplicateNeed "GF0304" "a task is needed twice";
    Cycle "GF0305" "tasks need each other in a circle";
    DuplicateTask "GF0306" "two tasks have the same id";
    Unreachable "GF0307" "a task can never run";
    BadCron "GF0401" "a cron expression cannot be read";
    BadDuration "GF0402" "a duration cannot be read";
    BadSize "GF0403" "a size cannot be read";
    BadTimezone "GF0404" "a time zone does not exist";
    BadDate "GF0405" "a date cannot be read";
    OutOfRange "GF0406" "a number is out of its range";
    UnknownName "GF0407" "a value is none of the names allowed here";
    BadPattern "GF0408" "a pattern cannot be read";
    EmptyWindow "GF0409" "an end is before its start";
    BadEnvName "GF0410" "a name is no name of an environment variable";
    BadDefault "GF0411" "a default contradicts its own param";
    TemplateSyntax "GF0501" "a template cannot be read";
    UnknownVariable "GF0502" "a template uses a variable that does not exist";
    UnknownParam "GF0503" "a template uses a param that does not exist";
    UnknownTaskInTemplate "GF0504" "a template uses a task that does not exist";
    UnknownOutput "GF0505" "a template uses an output that its task does not have";
    OutputWithoutNeed "GF0506" "an output is used without waiting for its task";
    OutputMayBeMissing "GF0507" "an output may be missing when it is used";
    UnsafeShell "GF0508" "a value goes into a shell command unquoted";
    UnknownFilter "GF0509" "a template uses a filter, test or function that does not exist";
    NoTrigger "GF0510" "a template uses `trigger` in a DAG that has none";
    TemplateNotAllowed "GF0511" "a template is not possible here";
    UnknownAttribute "GF0512" "a template uses an attribute that does not exist";
    DynamicName "GF0513" "a template computes the name of a task or param";
    MissingFile "GF0801" "a file does not exist";
    FileOutside "GF0802" "a file lies outside the bundle";
    FileUnreadable "GF0803" "a file cannot be read";
    FileTooLarge "GF0804" "a file is too large";
    DuplicateDag "GF0806" "two files define the same DAG";
    BadSchemaFile "GF0805" "a schema file cannot be read";
    NotAvailable "GF0901" "a feature is not available in this version";
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for Code {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|code| code.as_str().eq_ignore_ascii_case(text)).ok_or(())
    }
}

"""Properties of every character of Unicode 3.2, whose properties no longer change, one a line:

    CODE GROUP SPACE LATIN NORMAL...

in hexadecimal: its general category's first letter, whether it is white space, whether it is of
the Latin script, and its case-folded NFKC form with white space trimmed.
"""
import sys
import unicodedata

# Default_Ignorable_Code_Point, as far as assigned in 3.2 (DerivedCoreProperties.txt).
IGNORED = {0x00AD, 0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFEFF, 0xFFA0, 0xE0001,
           *range(0x180B, 0x180F), *range(0x200B, 0x2010), *range(0x202A, 0x202F),
           *range(0x2060, 0x2070), *range(0xFE00, 0xFE10), *range(0xE0020, 0xE0080),
           *range(0x1D173, 0x1D17B)}
# White space to str.isspace(), not to Unicode.
INFORMATION_SEPARATORS = range(0x1C, 0x20)
# Script=Latin under another name (Scripts.txt).
LATIN_BY_ANOTHER_NAME = {0xAA, 0xBA, 0x2071, 0x207F, 0x212A, 0x212B, 0x2132,
                         *range(0x02B0, 0x02B9)}


def nfkc_casefold(text):
    """toNFKC_Casefold, Unicode 15, section 3.13, rule R5."""
    form = unicodedata.normalize("NFD", text)
    while True:
        kept = "".join(c for c in form if ord(c) not in IGNORED)
        folded = unicodedata.normalize("NFKC", kept.casefold())
        if folded == form:
            return folded
        form = folded


for code in range(sys.maxunicode + 1):
    char = chr(code)
    if unicodedata.ucd_3_2_0.category(char) in ("Cn", "Cs", "Co"):
        continue
    space = char.isspace() and code not in INFORMATION_SEPARATORS
    latin = unicodedata.name(char, "").startswith(("LATIN ", "FULLWIDTH LATIN "))
    latin = latin or code in LATIN_BY_ANOTHER_NAME
    normal = nfkc_casefold(char)
    if code not in INFORMATION_SEPARATORS:
        normal = " ".join(normal.split())
    print(f"{code:x} {unicodedata.category(char)[0]} {space:d} {latin:d}",
          *(f"{ord(c):x}" for c in normal))

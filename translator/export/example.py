"""Code that the example programs of all exports share. It goes through str.format, so braces are
doubled."""

TEXT_OF = '''\
def text_of(ids):
    """One line of text. Bytes that form no valid character are left out."""
    kept = []
    for is_byte, some in itertools.groupby(ids, target.is_byte):
        if is_byte:
            raw = bytes(int(target.id_to_piece(i)[3:5], 16) for i in some)  # of <0x41>: 65
            utf8 = raw.decode(errors="ignore").encode()
            some = [target.piece_to_id(f"<0x{{byte:02X}}>") for byte in utf8]
        kept.extend(some)
    text = target.decode(kept).lstrip(" ")
    return text.replace("\\r", " ").replace("\\n", " ")
'''

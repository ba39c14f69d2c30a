package download

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

const (
	mark    = "dalang-download: "
	packed  = mark + "packed\n"
	refused = mark + "refused: "
	trailer = "\n" + mark + "tar "
)

// MaxPacked is how many bytes a download may have on its way, packed: in base64
// they are less than the 8 MiB that come over SSH; agents take more.
const MaxPacked = 6_000_000

// script packs $1/$2. It is one line, so that shells of all kinds can hand it to
// sh. What tar complains about would be mixed with the rest on a terminal: it
// goes with the archive.
const script = `COPYFILE_DISABLE=1; LC_ALL=C; export COPYFILE_DISABLE LC_ALL; ` +
	`no() { echo "` + mark + `refused: $1"; exit 1; }; ` +
	`[ -e "$1/$2" ] || no "there is no such file or directory"; ` +
	`[ -f "$1/$2" ] || [ -d "$1/$2" ] || no "it is neither a file nor a directory"; ` +
	`[ -r "$1/$2" ] || no "it must not be read: permission denied"; ` +
	`e=base64; command -v base64 >/dev/null 2>&1 || e="openssl base64"; ` +
	`for p in tar gzip head "${e%% *}"; do command -v "$p" >/dev/null 2>&1 || no "there is no program $p"; done; ` +
	`echo "` + mark + `packed"; ` +
	`{ m=$( { tar -C "$1" -chf - "./$2" >&3; echo "$?"; } 2>&1 ); printf "\n` + mark + `tar %s\n" "$m"; } 3>&1 2>/dev/null | ` +
	`gzip -c 2>/dev/null | head -c MAX | $e`

// Command is what a node runs to send a file or a directory.
func Command(source string) string {
	source = path.Clean(source)
	words := []string{"sh", "-c", strings.ReplaceAll(script, "MAX", fmt.Sprint(MaxPacked+1)), "sh", path.Dir(source), path.Base(source)}
	for i, w := range words {
		words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// maxPath bounds sources and destinations, in bytes.
const maxPath = 1000

// CheckSource tells what is wrong with a path on nodes.
func CheckSource(source string) error {
	switch {
	case !path.IsAbs(source):
		return errors.New("must be an absolute path")
	case path.Clean(source) == "/":
		return errors.New("must be a file or a directory below /")
	case len(source) > maxPath || strings.ContainsRune(source, 0):
		return fmt.Errorf("must have at most %d bytes, and no NUL", maxPath)
	}
	return nil
}

// CheckDestination tells what is wrong with the name of a directory for what
// comes.
func CheckDestination(destination string) error {
	parts := strings.Split(destination, "/")
	switch {
	case strings.TrimSpace(destination) == "":
		return errors.New("must not be empty")
	case path.IsAbs(destination):
		return errors.New("must be a relative path: it is below the downloads of the plan's job")
	case slices.Contains(parts, ".") || slices.Contains(parts, ".."):
		return errors.New("must not have . or .. in it")
	case len(destination) > maxPath || strings.ContainsRune(destination, 0):
		return fmt.Errorf("must have at most %d bytes, and no NUL", maxPath)
	}
	return nil
}

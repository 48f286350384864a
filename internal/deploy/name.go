package deploy

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// maxLabel is the longest name that Kubernetes takes for what becomes a host name or a label (RFC 1123).
const maxLabel = 63

// hashLength is how many characters of a hash set names apart.
const hashLength = 8

// label joins parts to a name of a-z, 0-9 and hyphens that begins and ends with a letter or digit. Where that changes
// them or makes them shorter, a hash of the original is added: different parts have different labels.
func label(parts ...string) string {
	return labelOf(maxLabel, parts...)
}

// labelOf does the same for names of at most limit characters.
func labelOf(limit int, parts ...string) string {
	original := strings.Join(parts, "-")
	plain := strings.Trim(strings.Map(labelRune, original), "-")
	if plain == "" || plain[0] >= '0' && plain[0] <= '9' {
		plain = "app-" + plain // a Service's name must begin with a letter (RFC 1035)
	}
	if plain == original && len(plain) <= limit {
		return plain
	}
	plain = plain[:min(len(plain), limit-hashLength-1)]
	return strings.TrimRight(plain, "-") + "-" + hash(original)
}

func labelRune(r rune) rune {
	switch {
	case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
		return r
	case r >= 'A' && r <= 'Z':
		return r - 'A' + 'a'
	default:
		return '-'
	}
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])[:hashLength]
}

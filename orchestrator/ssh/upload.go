package ssh

import (
	"path"
	"strings"

	"dalang/orchestrator/agentless"
)

// placing is a command that puts what lies in a run's directory where it is to
// be. It ends at the first that it cannot. No file is there in part, as long as
// its directory can be written to.
func placing(dir, id string, uploads []agentless.Upload) string {
	var b strings.Builder
	b.WriteString("umask 027\n")
	for _, u := range uploads {
		to := quote(u.Destination)
		if u.File == "" {
			b.WriteString("mkdir -p " + to + " || exit 1\n")
			continue
		}
		above := path.Dir(u.Destination)
		part := quote(path.Join(above, ".dalang-"+id))
		b.WriteString("if [ -d " + to + " ]; then echo " + quote(u.Destination+": it is a directory") + " >&2; exit 1; fi\n" +
			"mkdir -p " + quote(above) + " || exit 1\n" +
			"cat " + quote(path.Join(dir, u.File)) + " > " + part + " && chmod 750 " + part + " && mv -f " + part + " " + to +
			" || { rm -f " + part + "; exit 1; }\n")
	}
	b.WriteString("printf downloaded") // what agents say
	return b.String()
}

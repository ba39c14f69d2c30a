package agentless

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"dalang/orchestrator/task"
)

// Upload is a file or a directory to put on a target for good, mode 0750, as
// agents do; directories above it are made.
type Upload struct {
	File        string // its name in Job.Files; "": a directory
	Destination string // absolute
}

// readUpload reads the parameters of the PXP module file (orchestrator.md §7.3).
func readUpload(params json.RawMessage) (*spec, error) {
	var p struct {
		Files []struct {
			Destination string `json:"destination"`
			Kind        string `json:"kind"`
			task.File
		} `json:"files"`
	}
	if err := json.Unmarshal(params, &p); err != nil || len(p.Files) == 0 {
		return nil, errors.New("the request has no files")
	}
	s := &spec{}
	for i, f := range p.Files {
		u := Upload{Destination: path.Clean(f.Destination)}
		switch {
		case !path.IsAbs(f.Destination) || u.Destination == "/":
			return nil, fmt.Errorf("files[%d]: the destination must be an absolute path, not %q", i, f.Destination)
		case f.Kind == "directory":
		case f.Kind == "file":
			u.File = fmt.Sprintf("upload/%d", i)
			f.Filename = path.Base(u.Destination)
			s.files = append(s.files, placed{u.File, f.File})
		default:
			return nil, fmt.Errorf("files[%d]: %q is neither a file nor a directory", i, f.Kind)
		}
		s.uploads = append(s.uploads, u)
	}
	return s, nil
}

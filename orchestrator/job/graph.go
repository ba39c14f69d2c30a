package job

// Component is a part of an application on one node (orchestrator.md §12).
type Component struct {
	Type, Title string // the instance of an application: Type[Title]
	Ref         string // the component: Type[title]
	Certname    string
	Produces    []string // references to what it exports
	Consumes    []string
}

// Application is the instance that the component belongs to, Type[Title].
func (c *Component) Application() string { return c.Type + "[" + c.Title + "]" }

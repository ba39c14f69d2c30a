package orch_test

// More types of a client: of the companion services (orchestrator.md §4.1 and
// §4.2). The keys are those that go-pe-client reads, and ours.

type clientToken struct {
	Token string `json:"token"`
}

// clientRefusal is an error without details, as go-pe-client's rbac wants it.
type clientRefusal struct {
	Kind string `json:"kind"`
	Msg  string `json:"msg"`
}

type clientIdentity struct {
	ID          string `json:"id"`
	UserID      string `json:"user_id"`
	Login       string `json:"login"`
	DisplayName string `json:"display_name"`
	Email       string `json:"email"`
	RoleIDs     []int  `json:"role_ids"`
	IsSuperuser bool   `json:"is_superuser"`
	Description string `json:"description"`
	Label       string `json:"label"`
	Client      string `json:"client"`
	Expiration  string `json:"expiration"`
}

type clientUser struct {
	ID               string   `json:"id"`
	Login            string   `json:"login"`
	Email            string   `json:"email"`
	DisplayName      string   `json:"display_name"`
	RoleIDs          []int    `json:"role_ids"`
	IsGroup          bool     `json:"is_group"`
	IsRemote         bool     `json:"is_remote"`
	IsUser           bool     `json:"is_user"`
	IsSuperuser      bool     `json:"is_superuser"`
	IsRevoked        bool     `json:"is_revoked"`
	LastLogin        *string  `json:"last_login"`
	InheritedRoleIDs []int    `json:"inherited_role_ids"`
	GroupIDs         []string `json:"group_ids"`
}

type clientPermission struct {
	ObjectType string `json:"object_type"`
	Action     string `json:"action"`
	Instance   string `json:"instance"`
}

type clientRole struct {
	ID          int                `json:"id"`
	DisplayName string             `json:"display_name"`
	Description string             `json:"description"`
	Permissions []clientPermission `json:"permissions"`
	UserIDs     []string           `json:"user_ids"`
	GroupIDs    []string           `json:"group_ids"`
}

type clientTokens struct {
	Items []struct {
		ID          string  `json:"id"`
		UserID      string  `json:"user_id"`
		Login       string  `json:"login"`
		Description string  `json:"description"`
		Client      string  `json:"client"`
		Label       string  `json:"label"`
		Creation    string  `json:"creation"`
		Expiration  string  `json:"expiration"`
		LastActive  string  `json:"last_active"`
		Revocation  *string `json:"revocation"`
	} `json:"items"`
}

type clientGroup struct {
	Name              string                    `json:"name"`
	ID                string                    `json:"id"`
	Description       string                    `json:"description,omitempty"`
	Environment       string                    `json:"environment"`
	EnvironmentTrumps bool                      `json:"environment_trumps"`
	Parent            string                    `json:"parent"`
	Rule              []any                     `json:"rule"`
	Classes           map[string]map[string]any `json:"classes"`
	ConfigData        map[string]map[string]any `json:"config_data"`
	Variables         map[string]any            `json:"variables"`
	LastEdited        string                    `json:"last_edited"`
	SerialNumber      int                       `json:"serial_number"`
}

type clientRules struct {
	Rule       []any `json:"rule"`
	Inherited  []any `json:"rule_with_inherited"`
	Translated struct {
		Nodes     []any `json:"nodes_query_format"`
		Inventory []any `json:"inventory_query_format"`
	} `json:"translated"`
}

type clientGroupNodes struct {
	Nodes []string `json:"nodes"`
}

type clientQuery struct {
	Query []any `json:"query"`
}

type clientClassifiedV1 struct {
	Name        string                    `json:"name"`
	Environment string                    `json:"environment"`
	Groups      []string                  `json:"groups"`
	Classes     map[string]map[string]any `json:"classes"`
	Parameters  map[string]any            `json:"parameters"`
}

type clientClassifiedV2 struct {
	Name        string                    `json:"name"`
	Environment string                    `json:"environment"`
	Groups      []clientRef               `json:"groups"`
	Classes     map[string]map[string]any `json:"classes"`
	Parameters  map[string]any            `json:"parameters"`
	ConfigData  map[string]map[string]any `json:"config_data"`
}

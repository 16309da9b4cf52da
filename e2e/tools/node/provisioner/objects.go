package main

// The fields that the provisioner reads of the three kinds it looks at.

type metadata struct {
	Name        string            `json:"name"`
	Namespace   string            `json:"namespace"`
	UID         string            `json:"uid"`
	Annotations map[string]string `json:"annotations"`
	Deleted     *string           `json:"deletionTimestamp"`
}

type capacity struct {
	Storage string `json:"storage"`
}

type storageClass struct {
	Metadata          metadata `json:"metadata"`
	Provisioner       string   `json:"provisioner"`
	ReclaimPolicy     string   `json:"reclaimPolicy"`
	VolumeBindingMode string   `json:"volumeBindingMode"`
}

type claim struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		AccessModes      []string `json:"accessModes"`
		StorageClassName string   `json:"storageClassName"`
		VolumeMode       string   `json:"volumeMode"`
		VolumeName       string   `json:"volumeName"`
		Resources        struct {
			Requests capacity `json:"requests"`
		} `json:"resources"`
	} `json:"spec"`
	Status struct {
		Phase    string   `json:"phase"`
		Capacity capacity `json:"capacity"`
	} `json:"status"`
}

type volume struct {
	Metadata metadata `json:"metadata"`
	Spec     struct {
		Capacity      capacity `json:"capacity"`
		ReclaimPolicy string   `json:"persistentVolumeReclaimPolicy"`
		Local         struct {
			Path string `json:"path"`
		} `json:"local"`
	} `json:"spec"`
	Status struct {
		Phase string `json:"phase"`
	} `json:"status"`
}

"""Calorimeter showers: geometries, parametrised showers after Grindhammer and Peters, files, data sets, observables."""

# %% [markdown]
# # Encode once, segment often
# Open this file as a notebook in VS Code, PyCharm or Jupyter (with jupytext), or run it as a script.

# %%
import pickle

import numpy as np
import skimage.data

import maskadapter as ma

photo = skimage.data.coffee()  # or the path of your own photo
model = ma.load()

# %% [markdown]
# The image passes through the network once. Every further list of classes costs a matrix product.

# %%
encoded = model.encode_image(photo)
result = model.segment(encoded, "cup, spoon, table|dining table")
labels = result.semantic()  # (H, W), index into result.class_names, -1 = none of them
print({name: int((labels == index).sum()) for index, name in enumerate(result.class_names)})

# %% [markdown]
# A result shows itself.

# %%
result

# %%
for classes in ("drink, furniture", "cup, table", "coco-panoptic"):
    labels = model.segment(encoded, classes).semantic()
    print(f"{classes}: {len(np.unique(labels[labels >= 0]))} classes found")

# %% [markdown]
# A result is a sequence of segments. `filter` keeps some of them.

# %%
for segment in result:
    print(segment.id, segment.class_name, f"{segment.score:.0%}", segment.area, segment.box, segment.mask.shape)
result.filter(classes="cup, spoon").plot()

# %% [markdown]
# Segments, largest first, with their most probable classes. "(nothing)" is void.

# %%
for explained in result.explain(top=3):
    print(explained.name, f"{explained.segment.area} pixels", explained.classes)

# %% [markdown]
# Masks from anywhere are classified on the same encoded image.

# %%
cup = np.zeros(photo.shape[:2], dtype=bool)
cup[60:300, 190:420] = True
print(model.classify(encoded, cup[None], "cup, table, spoon").top(3)[0])

# %% [markdown]
# Where did the model pool? Then the files.

# %%
maps = model.activation_maps(encoded, result)
for path in result.save("out/", ["overlay", "activations"], activation_maps=maps):
    print(path)

# %% [markdown]
# Results and encoded images hold no model: pickle them, send them to a worker, keep them in a cache.

# %%
restored = pickle.loads(pickle.dumps(result))
print((restored.semantic() == result.semantic()).all(), len(pickle.dumps(encoded)) // 1000, "kB")
